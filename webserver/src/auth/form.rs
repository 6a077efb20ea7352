//! Forms of our own pages: what they hold, once it is sure that they are ours.

use actix_web::{
    FromRequest, HttpRequest,
    dev::Payload,
    web::{Bytes, Data, Query},
};
use futures_util::{FutureExt, future::LocalBoxFuture};
use serde::de::DeserializeOwned;

use super::{Identity, Via, session};
use crate::{AppState, body, error::Error};

/// The name of the field that every form carries.
const FIELD: &str = "csrf";
/// Most fields of a form.
const MOST_FIELDS: usize = 1_000;

/// The fields of a form that came from a page of this session. `T` may be a struct, or `Vec<(String, String)>` for the
/// fields as they are; the token is not among them.
#[derive(Debug, Clone)]
pub(crate) struct Form<T>(pub(crate) T);

/// A token for the forms of the page that answers `request`: of its session, else of its browser.
pub(crate) fn csrf(state: &AppState, identity: &Identity) -> String {
    match &identity.via {
        Via::Session(token) => state.keys.form_token(token),
        Via::Token => String::new(),
    }
}

impl<T: DeserializeOwned + 'static> FromRequest for Form<T> {
    type Error = Error;
    type Future = LocalBoxFuture<'static, Result<Self, Error>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let (request, bytes) = (request.clone(), Bytes::from_request(request, payload));
        async move {
            let bytes = body::whole(&request, bytes.await)?;
            read(&request, &bytes).map(Self)
        }
        .boxed_local()
    }
}

fn read<T: DeserializeOwned>(request: &HttpRequest, bytes: &[u8]) -> Result<T, Error> {
    let mut fields: Vec<(String, String)> = url::form_urlencoded::parse(bytes)
        .take(MOST_FIELDS)
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let token =
        fields.iter().find(|(name, _)| name == FIELD).map(|(_, value)| value.clone()).unwrap_or_default();
    let state = request
        .app_data::<Data<AppState>>()
        .ok_or_else(|| Error::Internal("a route without state".to_owned()))?;
    let owner = session::token(request).or_else(|| session::visitor(request)).unwrap_or_default();
    if owner.is_empty() || !state.keys.is_form_token(&owner, &token) {
        return Err(Error::Forbidden(
            "this form is too old or was not made by Tradewind; go back, load the page again and send it once more".to_owned(),
        ));
    }
    fields.retain(|(name, _)| name != FIELD);
    let fields = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&fields).finish();
    let form = Query::<T>::from_query(&fields)
        .map_err(|fault| Error::Invalid(format!("the form is incomplete: {fault}")))?;
    Ok(form.into_inner())
}
