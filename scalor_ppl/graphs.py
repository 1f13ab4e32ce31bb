"""Functions of tensors as compiled graphs: traced once, compiled by Inductor.

The interpreter, Pyro's handlers and autograd are there while a function is traced, and not when its
graph runs. What is compiled is kept on disk by Inductor (``TORCHINDUCTOR_CACHE_DIR``), so that the
next process need not wait for the C++ compiler again.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._guards import TracingContext, tracing
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import ShapeEnv

OPTIONS: dict[str, Any] = {
    # One source file for all loops and what calls them: of a file for each, a compiler spends four
    # fifths of its time on torch's headers; and no interpreter calls the loops.
    "cpp_wrapper": True,
    # An earlier torch wrote buffers again that another part of the graph still read: losses were
    # then right and gradients wrong by some per cent. With 2.13 they are right, and nothing slower.
    "inplace_buffers": False,
    # Workers would import torch first, which takes longer than one graph.
    "compile_threads": 1,
}

Flat = Callable[..., Sequence[Tensor]]


class GraphError(RuntimeError):
    """A function cannot be captured, or not be compiled here. The message is one line."""


def compiled_graph(function: Flat, inputs: Sequence[Tensor]) -> Flat:
    """A function as a compiled graph for inputs of the same form, without gradients.

    Args:
        function: of as many tensors, to a sequence of tensors; pure, with static shapes. It may
            take gradients inside. Tensors that it knows otherwise are taken as they are now.
        inputs: examples; of each input, number, shape, dtype, device are part of the graph.

    Returns:
        The same function, to be called with contiguous tensors of that form.

    Raises:
        GraphError: it cannot be captured or compiled.
    """
    check_compiler(inputs)
    examples = [each.detach().contiguous() for each in inputs]
    try:
        traced = make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*examples)
        with torch.no_grad():
            return _with_used(traced, examples)
    except Exception as error:  # whatever a tracer, a code generator or a compiler stumbles over
        raise _reason(error) from error


def differentiable_graph(function: Flat, inputs: Sequence[Tensor]) -> Flat:
    """A function as two compiled graphs, of itself and of its gradient.

    Args:
        function: of as many tensors, to a sequence of tensors; pure, with static shapes. It must
            draw nothing: a graph is given its noise. Tensors that it knows otherwise are taken as
            they are now.
        inputs: examples, contiguous; of each input, number, shape, dtype, device, and whether a
            gradient is wanted, are part of the graph.

    Returns:
        The same function, to be called with contiguous tensors of that form.

    Raises:
        GraphError: it cannot be captured or compiled.
    """
    from torch._inductor.compile_fx import compile_fx

    check_compiler(inputs)
    mode = FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True, allow_non_fake_inputs=True)
    forms: list[Any] = [mode.from_tensor(each, static_shapes=True) for each in inputs]
    uncached = torch._functorch.config.patch(enable_autograd_cache=False)  # which wants a graph
    try:
        with tracing(TracingContext(mode)), torch.enable_grad(), uncached:
            called: Any = _Called(function)
            compiled: Any = compile_fx(called, forms, config_patches=OPTIONS)
    except Exception as error:  # as above
        raise _reason(error) from error
    graph: Flat = compiled
    return graph


class _Called(torch.nn.Module):
    """A function as a module, which is what is compiled."""

    def __init__(self, function: Flat) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Sequence[Tensor]:
        return tuple(self.function(*inputs))


def check_compiler(inputs: Sequence[Tensor]) -> None:
    """Complain where no C++ compiler is there for a graph on the CPU.

    Raises:
        GraphError: there is none.
    """
    if all(each.device.type != "cpu" for each in inputs):
        return
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception as error:  # torch's own kind has changed its place between versions
        raise GraphError("no C++ compiler was found: install g++ or clang, or set CXX") from error


def _reason(error: Exception) -> GraphError:
    """Why there is no graph."""
    kind = "" if isinstance(error, GraphError) else f"{type(error).__name__}: "
    return GraphError(kind + first_line(error))


def first_line(error: BaseException) -> str:
    """What an error says, in one line of at most 200 characters."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else "no message"


def _with_used(traced: torch.fx.GraphModule, examples: Sequence[Tensor]) -> Flat:
    """Compile a graph for those of its inputs that it uses."""
    placeholders = [node for node in traced.graph.nodes if node.op == "placeholder"]
    used = [bool(node.users) for node in placeholders]
    for node, wanted in zip(placeholders, used, strict=True):
        if not wanted:
            traced.graph.erase_node(node)
    traced.recompile()
    chosen = [index for index, wanted in enumerate(used) if wanted]
    # Inductor keeps no code on disk of a graph that comes without an environment for shapes.
    mode = FakeTensorMode(shape_env=ShapeEnv(), static_shapes=True)
    forms: list[Any] = [mode.from_tensor(examples[i], static_shapes=True) for i in chosen]
    with tracing(TracingContext(mode)):
        compiled = torch._inductor.compile(traced, forms, options=OPTIONS)

    def run(*inputs: Tensor) -> Sequence[Tensor]:
        return compiled(*[inputs[i] for i in chosen])

    return run
