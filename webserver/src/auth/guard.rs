//! Guards: identities that may do so much. Taking one as an argument is the check.

use std::{ops::Deref, rc::Rc};

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use futures_util::{FutureExt, future::LocalBoxFuture};
use store::account::Role;

use super::Identity;
use crate::error::Error;

macro_rules! guards {
    ($($(#[$doc:meta])* $name:ident = $role:expr;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone)]
        pub(crate) struct $name(Rc<Identity>);

        impl Deref for $name {
            type Target = Identity;

            fn deref(&self) -> &Identity {
                &self.0
            }
        }

        impl FromRequest for $name {
            type Error = Error;
            type Future = LocalBoxFuture<'static, Result<Self, Error>>;

            fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
                let request = request.clone();
                async move { admit(&request, $role).await.map(Self) }.boxed_local()
            }
        }
    )+};
}

guards! {
    /// May look at everything that is no secret.
    Viewer = Role::Viewer;
    /// May also trigger, clear, mark and pause.
    User = Role::User;
    /// May also change pools, variables and connections.
    Operator = Role::Op;
    /// May do everything.
    Admin = Role::Admin;
}

impl From<User> for Viewer {
    fn from(user: User) -> Self {
        Self(user.0)
    }
}

async fn admit(request: &HttpRequest, role: Role) -> Result<Rc<Identity>, Error> {
    let identity = Identity::of(request).await?;
    if identity.is_at_least(role) {
        return Ok(identity);
    }
    Err(Error::Forbidden(format!(
        "this takes the role {role}; {} has the role {}, an admin can change that",
        identity.name(),
        identity.account.role
    )))
}
