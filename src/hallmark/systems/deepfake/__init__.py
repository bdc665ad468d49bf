"""Pictures and videos of faces: real or fake."""
