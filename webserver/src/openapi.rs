//! What the API can do, for programs: an OpenAPI document made from the table of its routes, so that it lists what there is and
//! nothing else. Bodies are described by Airflow's own document; here they are named.

use actix_web::{
    HttpResponse,
    web::{self, ServiceConfig},
};
use serde_json::{Map, Value, json};

use crate::api::{API_VERSION, OPERATIONS, Operation};

/// What there is beside `/api/v2`.
const OTHERS: &[Operation] = &[
    Operation { method: "post", path: "/auth/token", id: "create_token" },
    Operation { method: "post", path: "/auth/token/cli", id: "create_token_cli" },
    Operation { method: "get", path: "/api/v2/monitor/health", id: "get_health" },
    Operation { method: "get", path: "/tasks", id: "list_tasks" },
    Operation { method: "post", path: "/tasks", id: "create_task" },
    Operation { method: "get", path: "/metrics", id: "get_metrics" },
    Operation { method: "get", path: "/health", id: "get_liveness" },
];

/// Those that need no sign-in.
const OPEN: [&str; 6] =
    ["create_token", "create_token_cli", "get_health", "get_version", "get_metrics", "get_liveness"];

/// `/openapi.json`
pub(crate) fn routes(config: &mut ServiceConfig) {
    config.route("/openapi.json", web::get().to(document));
}

async fn document() -> HttpResponse {
    std::future::ready(HttpResponse::Ok().json(describe())).await
}

fn describe() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS.iter().chain(OTHERS) {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        path[operation.method] = describe_one(operation);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tradewind",
            "version": format!("{API_VERSION}+tradewind.{}", env!("CARGO_PKG_VERSION")),
            "description": "The part of Airflow's stable REST API v2 that Tradewind has, and a little API for single tasks. \
                            Operations have Airflow's ids; their parameters and bodies are those of its document.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
            "schemas": {
                "Error": {"type": "object", "required": ["detail"], "properties": {
                    "detail": {"oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]},
                }},
            },
        },
    })
}

fn describe_one(operation: &Operation) -> Value {
    let status = match (operation.method, operation.id) {
        ("post", "trigger_dag_run" | "clear_dag_run" | "post_clear_task_instances") => "200",
        ("post", id) if id.starts_with("get_") => "200",
        ("post", _) => "201",
        ("delete", _) => "204",
        _ => "200",
    };
    let error = json!({"description": "Error", "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}});
    let names =
        operation.path.split('{').skip(1).filter_map(|part| part.split_once('}')).map(|(name, _)| name);
    let parameters: Vec<Value> = names
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    let mut described = json!({
        "operationId": operation.id, "parameters": parameters,
        "responses": {status: {"description": "Successful Response"}, "default": error},
    });
    if matches!(operation.method, "post" | "patch") {
        described["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": {"type": "object"}}}});
    }
    if !OPEN.contains(&operation.id) {
        described["security"] = json!([{"bearer": []}]);
    }
    described
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_once() {
        let document = describe();
        let paths = document["paths"].as_object().unwrap();
        let ids: Vec<&str> = paths
            .values()
            .flat_map(|path| path.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        let distinct: std::collections::HashSet<&&str> = ids.iter().collect();
        assert_eq!((ids.len(), distinct.len()), (OPERATIONS.len() + OTHERS.len(), ids.len()));
    }
}
