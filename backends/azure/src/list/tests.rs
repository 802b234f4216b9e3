//! Pages of a listing as Azure sends them.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

use super::*;

/// A page as Azure sends it, which Azurite's is not in all: a name that XML can't carry, no
/// quotes around the entity tag, folders among blobs, and more of everything than is wanted
/// here.
#[test]
fn a_page_is_read_as_azure_sends_it() {
    let xml = "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><EnumerationResults ServiceEndpoint=\"https://a.blob.core.windows.net/\" \
        ContainerName=\"c\"><Prefix>x</Prefix><Delimiter>/</Delimiter><Blobs><Blob><Name>x &amp; y </Name><Properties>\
        <Last-Modified>Mon, 14 Sep 2026 10:00:00 GMT</Last-Modified><Etag>0x8D1</Etag><Content-Length>7</Content-Length>\
        <Content-MD5 /><LeaseStatus>unlocked</LeaseStatus></Properties><OrMetadata /></Blob><BlobPrefix><Name>x/</Name></BlobPrefix>\
        <Blob><Name Encoded=\"true\">x%EF%BF%BE+=%26</Name><Properties><ResourceType>directory</ResourceType></Properties></Blob>\
        </Blobs><NextMarker /></EnumerationResults>";
    let page: Page = azure_core::xml::from_xml(xml).unwrap();
    assert_eq!(page.next_marker.unwrap_or_default(), "");
    let mut rows = page.blobs.rows.into_iter();
    let Some(Row::Blob(first)) = rows.next() else {
        panic!("the first is a blob");
    };
    let meta = stamp(&first.properties).meta(Key::parse("k").unwrap(), 7);
    assert_eq!(
        (meta.etag.as_deref(), first.properties.length),
        (Some("0x8D1"), Some(7))
    );
    assert!(meta.modified.is_some());
    assert_eq!(first.name.text(), "x & y ");
    assert!(matches!(rows.next(), Some(Row::BlobPrefix(item)) if item.name.text == "x/"));
    let Some(Row::Blob(last)) = rows.next() else {
        panic!("the last is a blob");
    };
    assert_eq!(last.properties.resource.as_deref(), Some("directory"));
    assert_eq!(last.name.text(), "x\u{fffe}+=&");
}

/// An empty container's page has no row, and is not a fault.
#[test]
fn an_empty_page_is_read() {
    for xml in [
        "<EnumerationResults><Blobs /><NextMarker /></EnumerationResults>",
        "<EnumerationResults><Blobs></Blobs><NextMarker>m</NextMarker></EnumerationResults>",
    ] {
        let page: Page = azure_core::xml::from_xml(xml).unwrap();
        assert!(page.blobs.rows.is_empty());
    }
}
