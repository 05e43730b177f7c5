"""Bytes on disks: how a file is replaced, how JSON is read, what a path and a name may be."""
