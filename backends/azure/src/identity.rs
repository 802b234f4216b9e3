//! Tokens of Entra ID.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use azure_core::Error;
use azure_core::credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions};
use azure_core::error::ErrorKind;
use azure_core::http::{ClientOptions, Transport};
use azure_identity::{
    ClientAssertionCredentialOptions, ClientSecretCredential, ClientSecretCredentialOptions,
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions,
    UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};

/// How long one source of tokens may take: where there is no managed identity, nothing answers at
/// all.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(15);

/// The credential of this environment: workload identity where its variables are there, else
/// managed identity; where not only these were asked for, also a client secret of the environment
/// and what developers are logged in with.
pub(crate) fn credential(
    managed_only: bool,
    transport: &Transport,
) -> azure_core::Result<Arc<dyn TokenCredential>> {
    let options = || ClientOptions {
        transport: Some(transport.clone()),
        ..ClientOptions::default()
    };
    let variable = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let mut sources: Vec<(&'static str, Arc<dyn TokenCredential>)> = Vec::new();
    let client = variable("AZURE_CLIENT_ID");
    if variable("AZURE_FEDERATED_TOKEN_FILE").is_some() {
        let workload = WorkloadIdentityCredential::new(Some(WorkloadIdentityCredentialOptions {
            credential_options: ClientAssertionCredentialOptions {
                client_options: options(),
            },
            ..WorkloadIdentityCredentialOptions::default()
        }))?;
        sources.push(("workload identity", workload));
    } else {
        if !managed_only
            && let (Some(tenant), Some(client), Some(secret)) = (
                variable("AZURE_TENANT_ID"),
                &client,
                variable("AZURE_CLIENT_SECRET"),
            )
        {
            let secret = ClientSecretCredential::new(
                &tenant,
                client.clone(),
                Secret::from(secret),
                Some(ClientSecretCredentialOptions {
                    client_options: options(),
                }),
            )?;
            sources.push(("client secret", secret));
        }
        let managed = ManagedIdentityCredential::new(Some(ManagedIdentityCredentialOptions {
            user_assigned_id: client.map(UserAssignedId::ClientId),
            client_options: options(),
        }))?;
        sources.push(("managed identity", managed));
    }
    if !managed_only {
        sources.push(("developer tools", DeveloperToolsCredential::new(None)?));
    }
    Ok(Arc::new(Chain {
        sources,
        works: OnceLock::new(),
    }))
}

/// Several sources of tokens: the first that gives one is asked from then on.
struct Chain {
    sources: Vec<(&'static str, Arc<dyn TokenCredential>)>,
    works: OnceLock<usize>,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.sources.iter().map(|(name, _)| name).collect();
        f.debug_tuple("Chain").field(&names).finish()
    }
}

#[async_trait]
impl TokenCredential for Chain {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        if let Some(&works) = self.works.get() {
            return self.sources[works].1.get_token(scopes, options).await;
        }
        let mut faults = Vec::new();
        for (number, (name, source)) in self.sources.iter().enumerate() {
            let asked = source.get_token(scopes, options.clone());
            match tokio::time::timeout(TOKEN_TIMEOUT, asked).await {
                Ok(Ok(token)) => {
                    let _ = self.works.set(number);
                    return Ok(token);
                }
                Ok(Err(error)) => faults.push(format!("{name}: {}", first_line(&error))),
                Err(_) => faults.push(format!(
                    "{name}: no answer for {} s",
                    TOKEN_TIMEOUT.as_secs()
                )),
            }
        }
        Err(Error::with_message(
            ErrorKind::Credential,
            faults.join("; "),
        ))
    }
}

fn first_line(error: &Error) -> String {
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default();
    let line = line.trim().trim_end_matches([':', '.']);
    line.chars().take(200).collect()
}
