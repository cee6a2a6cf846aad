"""The lab: everything that needs torch. Installed by `pip install leansr[train]`."""
