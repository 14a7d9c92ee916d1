"""The `edgecls` command line."""
