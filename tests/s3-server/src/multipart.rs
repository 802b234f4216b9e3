//! Multipart uploads.

use std::collections::BTreeMap;
use std::time::SystemTime;

use s3s::dto::*;
use s3s::{S3Result, TrailingHeaders, s3_error};

use crate::blob::Blob;
use crate::checks::{Claims, Received, Sum, crc64_text, receive};
use crate::service::copy_source;
use crate::store::{Store, Stored, Unfinished};

const MOST_PARTS: i32 = 10_000;

pub(crate) fn create(
    store: &Store,
    input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    let mut state = store.state();
    let id = state.upload_id();
    let upload = Unfinished {
        begun: SystemTime::now(),
        metadata: input.metadata.unwrap_or_default(),
        parts: BTreeMap::new(),
    };
    let bucket = state.bucket(&input.bucket)?;
    bucket
        .uploads
        .insert((input.key.clone(), id.clone()), upload);
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: input.checksum_type,
        ..CreateMultipartUploadOutput::default()
    })
}

fn check_number(number: i32) -> S3Result<()> {
    if (1..=MOST_PARTS).contains(&number) {
        return Ok(());
    }
    Err(s3_error!(
        InvalidArgument,
        "Part number must be an integer between 1 and 10000, inclusive"
    ))
}

pub(crate) async fn upload(
    store: &Store,
    input: UploadPartInput,
    trailers: Option<TrailingHeaders>,
) -> S3Result<UploadPartOutput> {
    check_number(input.part_number)?;
    store
        .state()
        .bucket(&input.bucket)?
        .upload(&input.key, &input.upload_id)?;
    let claims = Claims {
        md5: input.content_md5,
        crc64: input.checksum_crc64nvme,
        crc32: input.checksum_crc32,
        crc32c: input.checksum_crc32c,
        sha256: input.checksum_sha256,
        trailers,
    };
    let received = receive(store, input.body, input.content_length, claims).await?;
    let part = Stored::new(received, Default::default());
    let output = UploadPartOutput {
        e_tag: Some(part.e_tag()),
        ..UploadPartOutput::default()
    };
    let mut state = store.state();
    let upload = state
        .bucket(&input.bucket)?
        .upload(&input.key, &input.upload_id)?;
    upload.parts.insert(input.part_number, part);
    Ok(output)
}

pub(crate) fn copy(store: &Store, input: UploadPartCopyInput) -> S3Result<UploadPartCopyOutput> {
    check_number(input.part_number)?;
    let source = copy_source(
        store,
        &input.copy_source,
        input.copy_source_if_match.as_ref(),
    )?;
    let blob = match &input.copy_source_range {
        Some(range) => {
            let range = Range::parse(range).map_err(|_| s3_error!(InvalidArgument))?;
            let range = range
                .check(source.blob.len())
                .map_err(|_| s3_error!(InvalidRange))?;
            source.blob.slice(range)
        }
        None => source.blob,
    };
    let crc64 = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, &blob.bytes());
    let received = Received {
        blob,
        crc64,
        sum: Sum::Crc64(crc64_text(crc64)),
    };
    let part = Stored::new(received, Default::default());
    let output = UploadPartCopyOutput {
        copy_part_result: Some(CopyPartResult {
            e_tag: Some(part.e_tag()),
            last_modified: Some(Timestamp::from(part.modified)),
            ..CopyPartResult::default()
        }),
        ..UploadPartCopyOutput::default()
    };
    let mut state = store.state();
    let upload = state
        .bucket(&input.bucket)?
        .upload(&input.key, &input.upload_id)?;
    upload.parts.insert(input.part_number, part);
    Ok(output)
}

pub(crate) fn complete(
    store: &Store,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let smallest = store.options.smallest_part_bytes;
    let mut state = store.state();
    let bucket = state.bucket(&input.bucket)?;
    let upload = bucket.upload(&input.key, &input.upload_id)?;
    let wanted = input
        .multipart_upload
        .and_then(|wanted| wanted.parts)
        .unwrap_or_default();
    if wanted.is_empty() {
        return Err(s3_error!(MalformedXML));
    }
    let (mut blob, mut crc64, mut before) = (Blob::default(), 0, 0);
    let mut small = None;
    for part in &wanted {
        let number = part.part_number.unwrap_or_default();
        if number <= before {
            return Err(s3_error!(InvalidPartOrder));
        }
        before = number;
        let invalid = || {
            s3_error!(
                InvalidPart,
                "One or more of the specified parts could not be found"
            )
        };
        let stored = upload.parts.get(&number).ok_or_else(invalid)?;
        if part.e_tag.as_ref().map(ETag::value) != Some(&*stored.etag) {
            return Err(invalid());
        }
        if part
            .checksum_crc64nvme
            .as_ref()
            .is_some_and(|sum| *sum != crc64_text(stored.crc64))
        {
            return Err(invalid());
        }
        if small.is_some() {
            return Err(s3_error!(EntityTooSmall));
        }
        small = (stored.blob.len() < smallest).then_some(number);
        let nvme = crc_fast::CrcAlgorithm::Crc64Nvme;
        crc64 = crc_fast::checksum_combine(nvme, crc64, stored.crc64, stored.blob.len());
        blob.append(&stored.blob);
    }
    if input
        .checksum_crc64nvme
        .is_some_and(|sum| sum != crc64_text(crc64))
    {
        return Err(s3_error!(BadDigest));
    }
    if input
        .mpu_object_size
        .is_some_and(|size| size as u64 != blob.len())
    {
        return Err(s3_error!(
            InvalidRequest,
            "The provided object size does not match"
        ));
    }
    let metadata = upload.metadata.clone();
    bucket.may_write(
        &input.key,
        input.if_match.as_ref(),
        input.if_none_match.as_ref(),
    )?;
    let received = Received {
        blob,
        crc64,
        sum: Sum::Crc64(crc64_text(crc64)),
    };
    let mut object = Stored::new(received, metadata);
    object.etag = format!("{}-{}", object.etag, wanted.len());
    let output = CompleteMultipartUploadOutput {
        bucket: Some(input.bucket),
        e_tag: Some(object.e_tag()),
        key: Some(input.key.clone()),
        ..CompleteMultipartUploadOutput::default()
    };
    bucket.uploads.remove(&(input.key.clone(), input.upload_id));
    bucket.insert(input.key, object, store.options.versioned);
    Ok(output)
}

pub(crate) fn list(store: &Store, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let mut state = store.state();
    let upload = state
        .bucket(&input.bucket)?
        .upload(&input.key, &input.upload_id)?;
    let most = usize::try_from(input.max_parts.unwrap_or(1000))
        .unwrap_or(0)
        .min(1000);
    let after = input.part_number_marker.unwrap_or_default();
    let mut rest = upload.parts.range(after + 1..);
    let parts: Vec<_> = rest
        .by_ref()
        .take(most)
        .map(|(number, part)| Part {
            part_number: Some(*number),
            size: Some(part.blob.len() as i64),
            e_tag: Some(part.e_tag()),
            last_modified: Some(Timestamp::from(part.modified)),
            ..Part::default()
        })
        .collect();
    Ok(ListPartsOutput {
        is_truncated: Some(rest.next().is_some()),
        next_part_number_marker: parts.last().and_then(|part| part.part_number),
        parts: Some(parts),
        ..ListPartsOutput::default()
    })
}
