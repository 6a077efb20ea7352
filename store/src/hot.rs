//! Statements as values that PostgreSQL prepares once for each connection.
//!
//! Diesel never keeps the prepared form of `update`, `sql_query`, batch inserts and `ON CONFLICT`: each call would cost a
//! second round trip and a plan. A statement made here has a static query id and is prepared once. Its text names the
//! parameters `$1`, `$2`, ... in the order of the fields, and its rows are read by the names of their columns.

/// Defines a statement: its parameters as `field: Rust type => SQL type`, then its text.
macro_rules! hot_query {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty => $sql:ty),+ $(,)? } $text:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name<'a> { $(pub(crate) $field: &'a $type),+ }

        impl diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::Query for $name<'_> {
            type SqlType = diesel::sql_types::Untyped;
        }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name<'_> {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                out.push_sql($text);
                $(out.push_bind_param_value_only::<$sql, _>(self.$field)?;)+
                Ok(())
            }
        }
    };
    ($(#[$doc:meta])* $name:ident {} $text:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, diesel::query_builder::QueryId)]
        pub(crate) struct $name;

        impl diesel::query_builder::Query for $name {
            type SqlType = diesel::sql_types::Untyped;
        }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                out.push_sql($text);
                Ok(())
            }
        }
    };
}

pub(crate) use hot_query;
