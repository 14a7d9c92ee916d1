"""Label an archive of video files: every file once, whatever happens meanwhile."""
