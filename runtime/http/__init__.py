"""The operators' HTTP side of every process: health and metrics, on a port apart from any public one."""
