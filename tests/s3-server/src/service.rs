//! The requests of S3 that the product makes, over the [`Store`].

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use crate::Listings;
use crate::checks::{Claims, Received, Sum, receive};
use crate::listing;
use crate::multipart;
use crate::store::{Store, Stored, names};

/// The maximum number of keys in one DeleteObjects, and of parts in one object.
const MOST_KEYS: usize = 1000;

pub(crate) struct Service(pub(crate) Arc<Store>);

impl Service {
    /// Stores without checksums refuse requests that name one.
    fn check_headers<T>(&self, request: &S3Request<T>) -> S3Result<()> {
        let unknown = ["x-amz-checksum-", "x-amz-sdk-checksum-"];
        let names_one = (request.headers.keys())
            .any(|name| unknown.iter().any(|start| name.as_str().starts_with(start)));
        if self.0.options.refuse_checksums && names_one {
            return Err(s3_error!(
                NotImplemented,
                "A header you provided implies functionality that is not implemented"
            ));
        }
        Ok(())
    }
}

/// The checksum in the fields of an answer.
macro_rules! with_sum {
    ($output:ident, $sum:expr) => {
        match $sum {
            Sum::Crc64(sum) => $output.checksum_crc64nvme = Some(sum),
            Sum::Crc32(sum) => $output.checksum_crc32 = Some(sum),
            Sum::Crc32c(sum) => $output.checksum_crc32c = Some(sum),
            Sum::Sha256(sum) => $output.checksum_sha256 = Some(sum),
        }
        $output.checksum_type = Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT));
    };
}

fn check_readable(object: &Stored, if_match: Option<&ETagCondition>) -> S3Result<()> {
    if object.is_archived() {
        return Err(s3_error!(
            InvalidObjectState,
            "The operation is not valid for the object's storage class"
        ));
    }
    check_same(object, if_match)
}

fn check_same(object: &Stored, if_match: Option<&ETagCondition>) -> S3Result<()> {
    match if_match {
        Some(wanted) if !names(wanted, object) => Err(s3_error!(PreconditionFailed)),
        _ => Ok(()),
    }
}

/// The source object of a copy.
pub(crate) fn copy_source(
    store: &Store,
    source: &CopySource,
    if_match: Option<&ETagCondition>,
) -> S3Result<Stored> {
    let CopySource::Bucket { bucket, key, .. } = source else {
        return Err(s3_error!(NotImplemented));
    };
    let mut state = store.state();
    let object = state.bucket(bucket)?.object(key)?.clone();
    check_readable(&object, if_match)?;
    Ok(object)
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.check_headers(&request)?;
        let input = request.input;
        self.0.state().bucket(&input.bucket)?;
        let claims = Claims {
            md5: input.content_md5,
            crc64: input.checksum_crc64nvme,
            crc32: input.checksum_crc32,
            crc32c: input.checksum_crc32c,
            sha256: input.checksum_sha256,
            trailers: request.trailing_headers,
        };
        let received = receive(&self.0, input.body, input.content_length, claims).await?;
        let object = Stored::new(received, input.metadata.unwrap_or_default());
        let mut output = PutObjectOutput {
            e_tag: Some(object.e_tag()),
            version_id: self.0.version_id(),
            ..PutObjectOutput::default()
        };
        with_sum!(output, object.sum.clone());
        let mut state = self.0.state();
        let bucket = state.bucket(&input.bucket)?;
        bucket.may_write(
            &input.key,
            input.if_match.as_ref(),
            input.if_none_match.as_ref(),
        )?;
        bucket.insert(input.key, object, self.0.options.versioned);
        Ok(S3Response::new(output))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.check_headers(&request)?;
        let input = request.input;
        let object = {
            let mut state = self.0.state();
            state.bucket(&input.bucket)?.object(&input.key)?.clone()
        };
        check_readable(&object, input.if_match.as_ref())?;
        let whole = object.blob.len();
        let range = match input.range {
            Some(range) => Some(range.check(whole).map_err(|_| s3_error!(InvalidRange))?),
            None => None,
        };
        let blob = match &range {
            Some(range) => object.blob.slice(range.clone()),
            None => object.blob.clone(),
        };
        *(self.0.state().reads)
            .entry(format!("{}/{}", input.bucket, input.key))
            .or_default() += blob.len();
        let mut output = GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: Some(blob.len() as i64),
            content_range: (range.as_ref())
                .map(|range| format!("bytes {}-{}/{whole}", range.start, range.end - 1)),
            e_tag: Some(object.e_tag()),
            last_modified: Some(Timestamp::from(
                object.modified - self.0.options.stamps_behind,
            )),
            metadata: Some(object.metadata),
            body: Some(blob.stream()),
            ..GetObjectOutput::default()
        };
        // The checksum covers the whole object, so a range has none.
        let asked = input.checksum_mode.is_some() && !self.0.options.refuse_checksums;
        if asked && range.is_none() {
            with_sum!(output, object.sum);
        }
        Ok(S3Response::new(output))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.check_headers(&request)?;
        let input = request.input;
        let mut state = self.0.state();
        let object = state.bucket(&input.bucket)?.object(&input.key)?.clone();
        check_same(&object, input.if_match.as_ref())?;
        let mut output = HeadObjectOutput {
            storage_class: object.class.map(StorageClass::from_static),
            content_length: Some(object.blob.len() as i64),
            e_tag: Some(object.e_tag()),
            last_modified: Some(Timestamp::from(object.modified)),
            metadata: Some(object.metadata),
            ..HeadObjectOutput::default()
        };
        if input.checksum_mode.is_some() && !self.0.options.refuse_checksums {
            with_sum!(output, object.sum);
        }
        Ok(S3Response::new(output))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.0.state().bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.check_headers(&request)?;
        let mut input = request.input;
        let fault = self.0.options.listings;
        if matches!(fault, Listings::FirstPageAgain | Listings::EmptyForEver) {
            input.continuation_token = None;
        }
        let mut state = self.0.state();
        let bucket = state.bucket(&input.bucket)?;
        let mut output = listing::list_objects(bucket, input, self.0.options.page_keys)?;
        match fault {
            Listings::Right | Listings::FirstPageAgain => {}
            Listings::WithoutToken => output.next_continuation_token = None,
            Listings::EmptyForEver => (output.contents, output.common_prefixes) = (None, None),
            Listings::Backwards => {
                output.contents.iter_mut().for_each(|rows| rows.reverse());
                let folders = output.common_prefixes.iter_mut();
                folders.for_each(|rows| rows.reverse());
            }
        }
        Ok(S3Response::new(output))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.check_headers(&request)?;
        if self.0.options.deletes_need_md5 && !request.headers.contains_key("content-md5") {
            return Err(s3_error!(
                InvalidRequest,
                "Missing required header for this request: Content-MD5"
            ));
        }
        let input = request.input;
        if input.delete.objects.len() > MOST_KEYS {
            return Err(s3_error!(
                MalformedXML,
                "The XML you provided was not well-formed"
            ));
        }
        let mut state = self.0.state();
        let bucket = state.bucket(&input.bucket)?;
        let mut output = DeleteObjectsOutput::default();
        let mut errors = Vec::new();
        for object in input.delete.objects {
            if let Some(code) = self.0.refusal_of_delete(&object.key) {
                errors.push(Error {
                    key: Some(object.key),
                    code: Some(code.to_owned()),
                    message: Some("it can't be deleted".to_owned()),
                    ..Error::default()
                });
                continue;
            }
            bucket.remove(&object.key, self.0.options.versioned);
        }
        output.errors = (!errors.is_empty()).then_some(errors);
        Ok(S3Response::new(output))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.check_headers(&request)?;
        let input = request.input;
        let mut state = self.0.state();
        let bucket = state.bucket(&input.bucket)?;
        if let (Some(wanted), Some(object)) = (&input.if_match, bucket.objects.get(&input.key))
            && !names(wanted, object)
        {
            return Err(s3_error!(PreconditionFailed));
        }
        bucket.remove(&input.key, self.0.options.versioned);
        Ok(S3Response::with_status(
            DeleteObjectOutput {
                delete_marker: self.0.options.versioned.then_some(true),
                version_id: self.0.version_id(),
                ..DeleteObjectOutput::default()
            },
            hyper::StatusCode::NO_CONTENT,
        ))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        self.check_headers(&request)?;
        let input = request.input;
        let source = copy_source(
            &self.0,
            &input.copy_source,
            input.copy_source_if_match.as_ref(),
        )?;
        if source.blob.len() > self.0.options.copy_limit_bytes {
            return Err(s3_error!(
                InvalidRequest,
                "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120"
            ));
        }
        let received = Received {
            blob: source.blob,
            crc64: source.crc64,
            sum: source.sum,
        };
        let object = Stored::new(received, source.metadata);
        let output = CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(object.e_tag()),
                last_modified: Some(Timestamp::from(object.modified)),
                ..CopyObjectResult::default()
            }),
            ..CopyObjectOutput::default()
        };
        let mut state = self.0.state();
        state
            .bucket(&input.bucket)?
            .insert(input.key, object, self.0.options.versioned);
        Ok(S3Response::new(output))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.check_headers(&request)?;
        multipart::create(&self.0, request.input).map(S3Response::new)
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.check_headers(&request)?;
        let trailers = request.trailing_headers;
        multipart::upload(&self.0, request.input, trailers)
            .await
            .map(S3Response::new)
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.check_headers(&request)?;
        multipart::copy(&self.0, request.input).map(S3Response::new)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.check_headers(&request)?;
        multipart::complete(&self.0, request.input).map(S3Response::new)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let input = request.input;
        let mut state = self.0.state();
        let bucket = state.bucket(&input.bucket)?;
        bucket.upload(&input.key, &input.upload_id)?;
        bucket.uploads.remove(&(input.key, input.upload_id));
        Ok(S3Response::with_status(
            AbortMultipartUploadOutput::default(),
            hyper::StatusCode::NO_CONTENT,
        ))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let mut input = request.input;
        let options = &self.0.options;
        let fault = options.listings;
        if matches!(fault, Listings::FirstPageAgain | Listings::EmptyForEver) {
            (input.key_marker, input.upload_id_marker) = (None, None);
        }
        let mut state = self.0.state();
        let bucket = state.bucket(&input.bucket)?;
        let mut output = listing::list_uploads(
            bucket,
            &input,
            options.lists_uploads_of_exact_keys_only,
            options.page_keys,
        );
        match fault {
            Listings::Right | Listings::FirstPageAgain => {}
            Listings::WithoutToken => output.next_key_marker = None,
            Listings::EmptyForEver => output.uploads = None,
            Listings::Backwards => output.uploads.iter_mut().for_each(|rows| rows.reverse()),
        }
        Ok(S3Response::new(output))
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        multipart::list(&self.0, request.input).map(S3Response::new)
    }
}
