"""PyTorch: an ``nn.Module`` that keeps the fused recurrent kernels."""
