//! What the tests of this crate share.

#![allow(clippy::unwrap_used, dead_code)]

use std::time::Duration;

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::remote::RetryPolicy;
use arc_backup_core::{
    Error, GetOptions, Key, ListOptions, Listed, Meta, OperationId, Sink, WriteOptions,
};
use arc_backup_test_azurite::{Azurite, Proxy};
use bytes::Bytes;
use futures::TryStreamExt as _;

pub const PART: usize = 64 << 10;

pub fn id(text: &str) -> OperationId {
    OperationId::parse(text).unwrap()
}

pub fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

/// A policy that does not let a test wait.
pub fn quick() -> RetryPolicy {
    RetryPolicy {
        attempts: 8,
        first_wait: Duration::from_millis(2),
        longest_wait: Duration::from_millis(50),
        stall: Duration::from_secs(5),
        silence: Duration::from_secs(15),
    }
}

/// A container that nobody else uses, behind a proxy, in small parts and ranges.
pub struct Place {
    pub azurite: &'static Azurite,
    pub proxy: Proxy,
    pub container: String,
}

impl Place {
    pub async fn new() -> Self {
        let azurite = Azurite::shared();
        Self {
            azurite,
            proxy: azurite.proxy().await,
            container: azurite.container().await,
        }
    }

    pub fn config(&self) -> AzureConfig {
        AzureConfig {
            connection_string: Some(self.proxy.connection_string()),
            container: self.container.clone(),
            retry: quick(),
            part_bytes: PART as u64,
            range_bytes: PART as u64,
            ..AzureConfig::default()
        }
    }

    pub fn sink(&self) -> AzureSink {
        AzureSink::new(self.config()).unwrap()
    }

    /// A sink with a SAS in place of the account's key.
    pub fn sas_sink(&self, sas: String) -> AzureSink {
        AzureSink::new(AzureConfig {
            connection_string: None,
            account_name: Some(arc_backup_test_azurite::ACCOUNT.to_owned()),
            endpoint: Some(self.proxy.endpoint()),
            sas_token: Some(sas),
            ..self.config()
        })
        .unwrap()
    }
}

/// Bytes without a period that a part size could hide.
pub fn pattern(len: usize) -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(len).collect()
}

pub async fn put_with(
    sink: &dyn Sink,
    at: &str,
    bytes: &[u8],
    options: WriteOptions,
) -> Result<Meta, Error> {
    let mut upload = sink.begin(&key(at), options).await?;
    for piece in bytes.chunks(50_000) {
        upload.write(Bytes::copy_from_slice(piece)).await?;
    }
    upload.commit().await
}

pub async fn put(sink: &dyn Sink, at: &str, bytes: &[u8]) -> Result<Meta, Error> {
    put_with(sink, at, bytes, WriteOptions::default()).await
}

pub async fn get_with(sink: &dyn Sink, at: &str, options: GetOptions) -> Result<Vec<u8>, Error> {
    sink.get(&key(at), options)
        .await?
        .body
        .collect(1 << 30, at)
        .await
}

pub async fn get(sink: &dyn Sink, at: &str) -> Result<Vec<u8>, Error> {
    get_with(sink, at, GetOptions::default()).await
}

pub async fn list(sink: &dyn Sink, options: ListOptions) -> Result<Vec<String>, Error> {
    let rows: Vec<_> = sink.list(options).try_collect().await?;
    Ok(rows
        .into_iter()
        .map(|row| match row {
            Listed::Object(meta) => meta.key.to_string(),
            Listed::Other { path, kind } => format!("{}: {path}", kind.as_str()),
        })
        .collect())
}

pub fn create_new() -> WriteOptions {
    WriteOptions {
        create_new: true,
        ..WriteOptions::default()
    }
}
