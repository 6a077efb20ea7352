//! Read models: one for each page and each list of the API.
