"""Where models come from: the publisher's hub, a mirror in a Python package index, or a folder."""
