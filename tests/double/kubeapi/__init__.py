"""The parts of the test double of the Kubernetes API server; see ../apiserver.py."""
