"""``mbrl bench``: whole runs in one process, on record, beside published figures."""
