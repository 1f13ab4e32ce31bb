"""The command line: parse, call the library, print.

A module of a command imports at its head what its signature needs. What computes is imported by
the call, so that help, completion and mistakes in the options never wait for torch.
"""
