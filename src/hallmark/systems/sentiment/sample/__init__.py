"""A generated corpus of pictures and tweets, in the folder layout of the real one."""
