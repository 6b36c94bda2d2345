"""A checkout that survives a crash anywhere: the promise of reliable workflows."""
