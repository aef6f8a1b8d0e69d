"""Base models and problems for a CPU without a network, one of them pretrained."""
