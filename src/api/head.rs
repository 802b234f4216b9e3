//! Requests for the head of an answer alone.

use poem::Request;
use poem::http::Method;

/// Stands in a request whose method was HEAD: the router makes a GET of it.
#[derive(Debug, Clone, Copy)]
struct HeadRequest;

/// Notes the method of the request, before the router changes it.
pub(super) fn note_head(request: &mut Request) {
    if *request.method() == Method::HEAD {
        request.extensions_mut().insert(HeadRequest);
    }
}

/// Whether nothing but the head of the answer is sent.
pub(super) fn is_head(request: &Request) -> bool {
    request.extensions().get::<HeadRequest>().is_some()
}
