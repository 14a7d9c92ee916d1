"""`python -m edge_cli`, the same as `edgecls`."""

from edge_cli.app import main

main()
