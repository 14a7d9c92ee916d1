"""`python -m convert.worker`: the child process of `convert.isolated`."""

from convert.isolated import serve

if __name__ == "__main__":
    serve()
