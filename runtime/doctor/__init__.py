"""What `edgecls doctor` looks at: one theme per module, facts gathered apart from judging them.

A module has a frozen dataclass of facts, a function that gathers them from this machine (from
another root folder in tests) and one that turns them into findings. Libraries that may crash are
asked in child processes (`questions`, asked by `child`).
"""
