"""The trainer: frozen ImageNet features and a small head, real learning in seconds to minutes on a CPU."""
