"""One folder per process: a folder is an image and a trust boundary; siblings never meet."""
