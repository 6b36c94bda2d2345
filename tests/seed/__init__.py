"""The programs that DBOS shows to say why it exists, run as they are written there, by workers that are killed."""
