//! Which methods each path has, for the `Allow` of a 405: poem's own answer has none.

use super::schema::{Schema, fits_path};

/// The methods of each path.
#[derive(Debug, Clone)]
pub(super) struct Methods(Vec<(String, String)>);

impl Methods {
    /// Those of the paths in the document, and GET for `pages`, which are not in it.
    pub(super) fn new(schema: &Schema, pages: &[&str]) -> Self {
        let described = (schema.paths().into_iter().flatten()).map(|(path, item)| {
            let mut methods = Vec::new();
            for method in item.as_object().into_iter().flat_map(|item| item.keys()) {
                methods.push(method.to_uppercase());
                if method == "get" {
                    methods.push("HEAD".to_owned());
                }
            }
            (path.clone(), methods.join(", "))
        });
        let pages = (pages.iter()).map(|page| ((*page).to_owned(), "GET, HEAD".to_owned()));
        let mut all: Vec<_> = described.chain(pages).collect();
        // The router prefers a fixed part of a path to a parameter.
        all.sort_by_key(|(path, _)| path.contains('{'));
        Self(all)
    }

    /// The methods of a path, as `Allow` names them.
    pub(super) fn allowed(&self, path: &str) -> Option<&str> {
        (self.0.iter())
            .find(|(template, _)| fits_path(template, path))
            .map(|(_, methods)| &**methods)
    }
}
