"""What a lab of network namespaces is made of; tests use lab.py and probe.py."""
