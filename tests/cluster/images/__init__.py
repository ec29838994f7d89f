"""The images of a test cluster, built on this machine where no registry can be reached."""
