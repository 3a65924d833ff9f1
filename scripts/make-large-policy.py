#!/usr/bin/env python3
"""Prints a policy file with N named tenants that each override three parameters.

    scripts/make-large-policy.py N > FILE
"""
import sys

n=int(sys.argv[1])
print('''limits:
  api-burst:   {algorithm: token-bucket,   rate: 100/s,  burst: 200, scope: tenant}
  user-rps:    {algorithm: token-bucket,   rate: 10/s,   burst: 20,  scope: key}
  llm-tpm:     {algorithm: sliding-window, limit: 100_000, window: 1m, scope: tenant, unit: tokens, soft: 80%}
  in-flight:   {algorithm: concurrency,    limit: 8,     scope: tenant}
  provider:    {algorithm: token-bucket,   rate: 5000/m, burst: 500, scope: global, mode: shadow}
policies:
  gateway: [api-burst, user-rps]
  chat:    [api-burst, user-rps, llm-tpm, in-flight, provider]
plans:
  free: {}
  pro:  {api-burst: {rate: 1000/s, burst: 2000}, llm-tpm: {limit: 2M}}
tenants:
  "*":        {plan: free}''')
for i in range(n):
    print(f"  tenant-{i:06d}: {{plan: {'pro' if i%2 else 'free'}, limits: {{api-burst: {{rate: {100+i%977}/s, burst: {200+i}}}, llm-tpm: {{limit: {100000+i}}}}}}}")
