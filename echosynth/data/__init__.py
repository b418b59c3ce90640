"""Where clips come from and where they go: DICOM, datasets on disk, and one door for whatever a user has."""
