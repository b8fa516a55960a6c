"""Everything needed to deploy the processes: the local stack, images, Kubernetes, dashboards."""
