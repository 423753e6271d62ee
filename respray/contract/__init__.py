"""What the orchestrator and the Triton side agree on: requests, reports, names of tensors, limits of photo files. No NumPy, no OpenCV."""
