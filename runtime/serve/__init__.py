"""The watch page of a run: live picture, probabilities, events, metrics, over HTTP.

`board` is what the main loop writes to and needs nothing; the rest reads from it in threads of its
own and needs the extra `serve`.
"""
