"""What Aliyun's OSS and STS ask for: their settings, signatures, policies and callbacks. No storage and no database."""
