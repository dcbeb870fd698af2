"""``mbrl report``: a learning run, or several, as one page of HTML."""
