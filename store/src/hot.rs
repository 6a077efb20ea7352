//! Statements as values.
//!
//! Diesel never keeps the prepared form of `update`, `sql_query`, batch inserts and `ON CONFLICT`: each call costs a second
//! round trip and a plan. A statement of [`hot_query`] has a static query id: it is prepared once for each connection.
//! A statement of [`view_query`] is planned anew each time, with its values: its many optional conditions would make a
//! plan that fits all of them slow for each.
//!
//! The text names the parameters `$1`, `$2`, ... in the order of the fields. Rows are read by the names of their columns.

/// Defines a statement that is prepared once: its parameters as `field: Rust type => SQL type`, then its text.
macro_rules! hot_query {
    ($(#[$doc:meta])* $name:ident { $($fields:tt)* } $text:expr) => {
        crate::hot::statement!(true, $(#[$doc])* $name { $($fields)* } $text);
    };
}

/// Defines a statement that is planned each time. `; Name text` adds a second one with the same parameters.
macro_rules! view_query {
    ($(#[$doc:meta])* $name:ident { $($fields:tt)* } $text:expr $(; $twin:ident $twin_text:expr)?) => {
        crate::hot::statement!(false, $(#[$doc])* $name { $($fields)* } $text);
        $(
            #[derive(Debug, Clone, Copy)]
            pub(crate) struct $twin<'a>($name<'a>);

            impl diesel::query_builder::QueryId for $twin<'_> {
                type QueryId = $twin<'static>;
                const HAS_STATIC_QUERY_ID: bool = false;
            }

            impl diesel::query_builder::Query for $twin<'_> {
                type SqlType = diesel::sql_types::Untyped;
            }

            impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $twin<'_> {
                fn walk_ast<'b>(
                    &'b self,
                    mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
                ) -> diesel::QueryResult<()> {
                    out.unsafe_to_cache_prepared();
                    out.push_sql($twin_text);
                    self.0.bind(&mut out)
                }
            }
        )?
    };
}

macro_rules! statement {
    ($cached:literal, $(#[$doc:meta])* $name:ident { $($field:ident: $type:ty => $sql:ty),+ $(,)? } $text:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name<'a> { $(pub(crate) $field: &'a $type),+ }

        impl diesel::query_builder::QueryId for $name<'_> {
            type QueryId = $name<'static>;
            const HAS_STATIC_QUERY_ID: bool = $cached;
        }

        impl diesel::query_builder::Query for $name<'_> {
            type SqlType = diesel::sql_types::Untyped;
        }

        impl $name<'_> {
            fn bind<'b>(
                &'b self,
                out: &mut diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                $(out.push_bind_param_value_only::<$sql, _>(self.$field)?;)+
                Ok(())
            }
        }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name<'_> {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                if !$cached {
                    out.unsafe_to_cache_prepared();
                }
                out.push_sql($text);
                self.bind(&mut out)
            }
        }
    };
    ($cached:literal, $(#[$doc:meta])* $name:ident {} $text:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub(crate) struct $name;

        impl diesel::query_builder::QueryId for $name {
            type QueryId = Self;
            const HAS_STATIC_QUERY_ID: bool = $cached;
        }

        impl diesel::query_builder::Query for $name {
            type SqlType = diesel::sql_types::Untyped;
        }

        impl diesel::query_builder::QueryFragment<diesel::pg::Pg> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, diesel::pg::Pg>,
            ) -> diesel::QueryResult<()> {
                if !$cached {
                    out.unsafe_to_cache_prepared();
                }
                out.push_sql($text);
                Ok(())
            }
        }
    };
}

pub(crate) use {hot_query, statement, view_query};
