//! The path of a file in the address of a request.

use poem::Request;

use super::error::ApiError;

/// What stands before it.
const FILES: &str = "/files/";

/// The path behind `/files/` as the client sent it: the router has merged its slashes.
///
/// # Errors
/// Where it is no UTF-8.
pub(super) fn file_path(request: &Request) -> Result<String, ApiError> {
    let sent = request.original_uri().path();
    let sent = sent.split_once(FILES).map_or("", |(_, path)| path);
    match percent_encoding::percent_decode_str(sent).decode_utf8() {
        Ok(path) => Ok(path.into_owned()),
        Err(_) => Err(ApiError::bad(
            "the path of the file is no UTF-8",
            "encode its bytes with `%`".to_owned(),
        )),
    }
}
