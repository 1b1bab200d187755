"""A search over the choices of a net: trials side by side, a journal of them, and the best one as a run."""
