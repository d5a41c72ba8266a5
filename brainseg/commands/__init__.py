"""What ``python -m brainseg`` can do: for each command its flags, and the function that runs it.

These modules import what is slow only where it is used, so that ``--help`` is quick.
"""
