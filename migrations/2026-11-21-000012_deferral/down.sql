DROP TABLE deferral;
