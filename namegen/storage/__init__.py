"""Files that are whole or not there, on disks and in object stores, and locks on folders."""
