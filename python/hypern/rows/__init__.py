"""What `into=` makes rows of: a class is read once (`plan`), and matched once with the columns of
each statement (`fit`). The extension makes the objects.

Nothing here imports msgspec, attrs or pydantic: a class of theirs has what is needed.
"""
