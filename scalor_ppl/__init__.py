"""SCALOR (Jiang et al., ICLR 2020), unsupervised object-centric world models, on Pyro."""
